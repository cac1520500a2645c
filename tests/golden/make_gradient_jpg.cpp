// Made tests/golden/gradient.jpg: 40x40, the value of pixel (x, y) in channel c is 20 + 3x + 2y + 10c, quality 90.
// c++ make_gradient_jpg.cpp -o make_gradient && ./make_gradient gradient.jpg
// Kept as a file because stb_image_write's JPEG encoder shifts negative numbers, which `make asan` does not let pass.
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

#include <vector>

int main(int argc, char** argv) {
    std::vector<unsigned char> pixels;
    for (int y = 0; y < 40; ++y)
        for (int x = 0; x < 40; ++x)
            for (int c = 0; c < 3; ++c) pixels.push_back(static_cast<unsigned char>(20 + 3 * x + 2 * y + 10 * c));
    return argc == 2 && stbi_write_jpg(argv[1], 40, 40, 3, pixels.data(), 90) ? 0 : 1;
}
